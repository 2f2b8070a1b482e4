vault_unit_test(base base)
