# What a program that uses theriac links: all rooms but the command's as one library, static and shared, with its headers
# and its pkg-config file. The shared one exports what the public headers declare and nothing else.
get_property(rooms GLOBAL PROPERTY TH_ROOMS)
get_property(libs GLOBAL PROPERTY TH_LIBS)
list(REMOVE_ITEM rooms cli)
list(REMOVE_DUPLICATES libs)
list(TRANSFORM rooms REPLACE "(.+)" "$<TARGET_OBJECTS:th_\\1>" OUTPUT_VARIABLE objects)

file(GLOB public_headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/theriac/*.h)
set(exports ${PROJECT_BINARY_DIR}/theriac.map)
add_custom_command(
  OUTPUT ${exports}
  COMMAND ${PROJECT_SOURCE_DIR}/scripts/public-names --map ${public_headers} > ${exports}
  DEPENDS ${public_headers} ${PROJECT_SOURCE_DIR}/scripts/public-names
  COMMENT "Listing the public names"
  VERBATIM)
add_custom_target(exports DEPENDS ${exports})

add_library(theriac_static STATIC ${objects})
add_library(theriac_shared SHARED ${objects})
foreach(library theriac_static theriac_shared)
  set_target_properties(${library} PROPERTIES OUTPUT_NAME theriac LINKER_LANGUAGE C)
endforeach()
target_link_libraries(theriac_shared PRIVATE ${libs})
target_link_options(theriac_shared PRIVATE LINKER:--version-script=${exports})
if(NOT TH_SANITIZE) # whose run-time library comes with the program
  target_link_options(theriac_shared PRIVATE LINKER:--no-undefined)
endif()
set_target_properties(theriac_shared PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
                                                LINK_DEPENDS ${exports})
add_dependencies(theriac_shared exports)

# The file finds the library from where it lies itself, so an installed tree can be moved.
file(RELATIVE_PATH pc_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${PROJECT_SOURCE_DIR}/theriac.pc.in ${PROJECT_BINARY_DIR}/theriac.pc @ONLY)

install(TARGETS theriac_static theriac_shared ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${public_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/theriac)
install(FILES ${PROJECT_BINARY_DIR}/theriac.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
