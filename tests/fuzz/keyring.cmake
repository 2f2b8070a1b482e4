vault_fuzz_test(keyring keys PkgConfig::libsodium)
