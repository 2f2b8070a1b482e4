vault_fuzz_test(checkpoint audit MASS 100000)
