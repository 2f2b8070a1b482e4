vault_fuzz_test(documents_yaml parse MASS 100000)
