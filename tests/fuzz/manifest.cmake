vault_fuzz_test(manifest format)
