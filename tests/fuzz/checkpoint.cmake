vault_fuzz_test(checkpoint audit)
