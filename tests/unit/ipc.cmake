vault_unit_test(ipc ipc)
