vault_unit_test(export_verify audit)
