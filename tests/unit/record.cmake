vault_unit_test(record audit)
