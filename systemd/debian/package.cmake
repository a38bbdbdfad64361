# cpack -G DEB: acme-agent_VERSION_ARCHITECTURE.deb. What is here goes into the package alone, not where `cmake --install` puts things:
# the component `debian`.
set(debian ${PROJECT_SOURCE_DIR}/systemd/debian)
set(units ${PROJECT_SOURCE_DIR}/systemd)
set(only_packaged COMPONENT debian EXCLUDE_FROM_ALL)

install(FILES ${reference}/conf DESTINATION /etc/acme-agent RENAME acme-agent.conf ${only_packaged})
install(FILES ${units}/acme-agent.service ${units}/acme-agent.socket ${units}/acme-agent.timer ${units}/acme-agent-once.service
              ${units}/acme-agent-reload@.path ${units}/acme-agent-reload.service
        DESTINATION /lib/systemd/system ${only_packaged})
install(FILES ${units}/acme-agent.sysusers DESTINATION lib/sysusers.d RENAME acme-agent.conf ${only_packaged})
install(FILES ${units}/50-acme-agent.rules DESTINATION share/polkit-1/rules.d ${only_packaged})
install(FILES ${debian}/copyright DESTINATION share/doc/acme-agent ${only_packaged})
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${units}/unprivileged.conf DESTINATION share/doc/acme-agent ${only_packaged})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/examples DESTINATION share/doc/acme-agent ${only_packaged}
        PATTERN quickstart.sh EXCLUDE PATTERN acme-agent.conf EXCLUDE PATTERN Dockerfile EXCLUDE PATTERN run-time.sh EXCLUDE)

# As policy has them: compressed, and without a time in it.
foreach(text IN ITEMS "reference/man share/man/man1/acme-agent.1" "reference/man-conf share/man/man5/acme-agent.conf.5"
                      "changelog share/doc/acme-agent/changelog")
  separate_arguments(text)
  list(GET text 0 source)
  list(GET text 1 place)
  get_filename_component(name ${place} NAME)
  get_filename_component(folder ${place} DIRECTORY)
  set(compressed ${CMAKE_CURRENT_BINARY_DIR}/compressed/${name}.gz)
  if(source STREQUAL changelog)
    set(source ${debian}/changelog)
  else()
    set(source ${CMAKE_CURRENT_BINARY_DIR}/${source})
  endif()
  add_custom_command(OUTPUT ${compressed} COMMAND gzip -9nc ${source} > ${compressed} DEPENDS ${source} VERBATIM)
  list(APPEND all_compressed ${compressed})
  install(FILES ${compressed} DESTINATION ${folder} ${only_packaged})
endforeach()
file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/compressed)
add_custom_target(compressed ALL DEPENDS ${all_compressed})
add_dependencies(compressed reference)

set(CPACK_GENERATOR DEB)
set(CPACK_INSTALL_CMAKE_PROJECTS "${CMAKE_BINARY_DIR};acme-agent;program;/" "${CMAKE_BINARY_DIR};acme-agent;debian;/")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_CONTACT "acme-agent <maintainers@acme-agent.invalid>")
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "certificate-renewal agent for MQTT brokers")
set(CPACK_PACKAGE_DESCRIPTION
    "Obtains the TLS certificate of an MQTT broker from a certificate authority
that speaks ACME (RFC 8555), like Let's Encrypt, puts it where the broker
reads it, makes the broker reload it, looks on the wire that it is served,
and keeps it renewed.")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "ca-certificates, systemd | systemd-standalone-sysusers | systemd-sysusers, init-system-helpers (>= 1.52)")
# Loaded where they are needed: D-Bus, to reload units of systemd; --mqtt.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "libsystemd0, libmosquitto1")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "mosquitto, polkitd")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${debian}/postinst ${debian}/prerm ${debian}/postrm ${debian}/conffiles)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
