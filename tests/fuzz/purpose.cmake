vault_fuzz_test(purpose worker_documents MASS 500000)
