/* A Modbus RTU slave made with libmodbus: address 1, eight inputs, four coils,
 * two input registers, of which the second is 305, and two holding registers.
 * usage: libmodbus_slave DEVICE
 * Inputs 1 and 4 are on. Input 8 follows coil 1, so a test can see both ways.
 * It writes "ready" to its standard output, and runs until it is killed. */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	uint8_t request[MODBUS_RTU_MAX_ADU_LENGTH];
	modbus_mapping_t *bits;
	modbus_t *line;

	if (argc != 2)
		return 2;
	line = modbus_new_rtu(argv[1], 9600, 'N', 8, 1);
	bits = modbus_mapping_new(4, 8, 2, 2);
	if (line == NULL || bits == NULL || modbus_set_slave(line, 1) != 0 || modbus_connect(line) != 0) {
		fprintf(stderr, "%s: %s\n", argv[1], modbus_strerror(errno));
		return 1;
	}
	bits->tab_input_bits[0] = bits->tab_input_bits[3] = 1;
	bits->tab_input_registers[1] = 305;
	puts("ready");
	fflush(stdout);
	for (;;) {
		int n = modbus_receive(line, request);
		if (n > 0)
			modbus_reply(line, request, n, bits);
		bits->tab_input_bits[7] = bits->tab_bits[0];
	}
}
