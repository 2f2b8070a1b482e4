vault_unit_test(keys keys)
# The test counts the steps of a store and ends the process after any of them.
target_link_options(test_keys PRIVATE -Wl,--wrap=write,--wrap=fsync,--wrap=renameat,--wrap=unlinkat,--wrap=openat)
target_link_libraries(test_keys PRIVATE PkgConfig::libsodium)
