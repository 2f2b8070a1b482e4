vault_unit_test(yaml yaml_reader)
