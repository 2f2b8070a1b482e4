foreach(name crypt4gh crypt4gh_keys)
  vault_unit_test(${name} format PkgConfig::libsodium)
  target_sources(test_${name} PRIVATE ${CMAKE_CURRENT_LIST_DIR}/crypt4gh_rig.c)
endforeach()
