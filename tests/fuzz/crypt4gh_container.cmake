vault_fuzz_test(crypt4gh_container format PkgConfig::libsodium MASS 100000)
if(TARGET mass_crypt4gh_container)
  target_sources(mass_crypt4gh_container PRIVATE ${CMAKE_CURRENT_LIST_DIR}/crypt4gh_curve.c)
  target_link_options(mass_crypt4gh_container PRIVATE
    -Wl,--wrap=crypto_kx_client_session_keys,--wrap=crypto_scalarmult_base)
endif()
