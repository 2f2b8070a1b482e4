vault_fuzz_test(http_head worker_core MASS 500000)
