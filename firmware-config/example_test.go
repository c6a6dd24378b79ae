package firmwareconfig_test

import (
	"errors"
	"fmt"

	firmwareconfig "github.com/longan-edge/longan/firmware-config"
)

func ExampleParse() {
	_, err := firmwareconfig.Parse("site.toml", []byte(`[center]
device = 621202107-01
name   = "马街镇综治中心"

[uplink]
broker = ["mqtts://mqtt.example.cn"]
`), firmwareconfig.English)
	if problems, ok := errors.AsType[firmwareconfig.Problems](err); ok {
		for _, p := range problems {
			fmt.Println(&p)
		}
	}
	// Output:
	// site.toml:2:10: texts and codes need quotes.
	//     2 | device = 621202107-01
	//       |          ^~~~~~~~~~~~
	//       = Write: device = "621202107-01"
	// site.toml:6:1: [uplink] has no key broker.
	//     6 | broker = ["mqtts://mqtt.example.cn"]
	//       | ^~~~~~
	//       = Did you mean brokers?
}

func ExampleExample() {
	site, err := firmwareconfig.Parse("site.example.toml", firmwareconfig.Example(), firmwareconfig.Chinese)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range site.Peripherals {
		fmt.Println(p.Name, p.Driver, len(p.Points))
	}
	// Output:
	// io modbus 2
	// printer escpos 5
	// board-inputs contact 1
}
