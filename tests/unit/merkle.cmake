vault_unit_test(merkle audit)
