vault_unit_test(checkpoint audit)
