vault_fuzz_test(message ipc)
