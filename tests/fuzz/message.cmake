vault_fuzz_test(message ipc MASS 500000)
