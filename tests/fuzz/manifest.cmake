vault_fuzz_test(manifest format MASS 500000)
