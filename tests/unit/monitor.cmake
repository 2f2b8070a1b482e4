
vault_unit_test(monitor_index monitor_core)
