vault_unit_test(sandbox sandbox)
