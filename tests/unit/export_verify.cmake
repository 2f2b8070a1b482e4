vault_unit_test(export_verify audit)
vault_unit_test(export_keys audit)
