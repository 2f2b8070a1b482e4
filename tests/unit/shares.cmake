vault_unit_test(shares keys)
# The test counts what is held, refuses memory, and decides on what is random.
target_link_options(test_shares PRIVATE -Wl,--wrap=sodium_malloc,--wrap=sodium_free,--wrap=randombytes_buf
  -Wl,--wrap=gfshare_ctx_init_enc,--wrap=gfshare_ctx_init_dec,--wrap=gfshare_ctx_free)
target_link_libraries(test_shares PRIVATE PkgConfig::libsodium PkgConfig::libgfshare)
