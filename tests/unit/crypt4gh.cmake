foreach(name crypt4gh crypt4gh_keys)
  vault_unit_test(${name} format PkgConfig::libsodium)
  target_sources(test_${name} PRIVATE ${CMAKE_CURRENT_LIST_DIR}/crypt4gh_rig.c)
endforeach()
# Fresh containers and key files, in both directions between this code and tests/vectors/crypt4gh.py.
add_executable(crypt4gh_exchange ${CMAKE_CURRENT_SOURCE_DIR}/unit/crypt4gh_exchange.c)
target_link_libraries(crypt4gh_exchange PRIVATE format)
add_test(NAME unit.crypt4gh_exchange COMMAND /usr/bin/python3
  ${CMAKE_CURRENT_SOURCE_DIR}/unit/crypt4gh_exchange.py $<TARGET_FILE:crypt4gh_exchange>)
