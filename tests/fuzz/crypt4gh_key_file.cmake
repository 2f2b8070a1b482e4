vault_fuzz_test(crypt4gh_key_file format PkgConfig::libsodium PkgConfig::libcrypto MASS 200000)
foreach(program fuzz_crypt4gh_key_file mass_crypt4gh_key_file)
  if(TARGET ${program})
    target_link_options(${program} PRIVATE
      -Wl,--wrap=crypto_pwhash_scryptsalsa208sha256_ll,--wrap=PKCS5_PBKDF2_HMAC)
  endif()
endforeach()
