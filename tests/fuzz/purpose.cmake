vault_fuzz_test(purpose parse MASS 500000)
