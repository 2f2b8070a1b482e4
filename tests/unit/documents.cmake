vault_unit_test(documents documents)
