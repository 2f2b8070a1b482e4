vault_unit_test(manifest format)
