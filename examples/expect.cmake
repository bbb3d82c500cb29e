# SPDX-License-Identifier: MIT
# cmake -DPROGRAM=P -DOUTPUT=REGEX -P expect.cmake: P ends with status 0 and prints what REGEX matches.
execute_process(COMMAND ${PROGRAM} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE errors)
message("${output}${errors}")
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} ended with status ${status}")
elseif(NOT output MATCHES "${OUTPUT}")
  message(FATAL_ERROR "its output does not match: ${OUTPUT}")
endif()
