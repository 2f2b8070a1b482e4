vault_fuzz_test(http_chunked worker_core MASS 500000)
