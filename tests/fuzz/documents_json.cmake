vault_fuzz_test(documents_json parse MASS 300000)
