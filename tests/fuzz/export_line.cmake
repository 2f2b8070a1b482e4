vault_fuzz_test(export_line audit MASS 200000)
