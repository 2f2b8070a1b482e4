vault_fuzz_test(diseases policies MASS 100000)
