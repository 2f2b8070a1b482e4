vault_unit_test(decision policies)
