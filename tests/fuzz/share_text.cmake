vault_fuzz_test(share_text keys PkgConfig::libsodium MASS 200000)
