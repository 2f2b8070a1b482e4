vault_fuzz_test(policy_binary policies MASS 200000)
