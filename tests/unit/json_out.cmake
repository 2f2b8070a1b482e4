vault_unit_test(json_out audit PkgConfig::jansson)
