package firmwareconfig

import (
	"slices"
	"time"
)

// serialDrivers are those of peripherals on a UART.
var serialDrivers = [...]driverSpec{
	{
		name:  "modbus",
		about: text{"RS-485 输入输出模块、仪表（Modbus RTU）", "RS-485 input/output modules and meters (Modbus RTU)"},
		port:  true, baud: 9600, parity: "none",
		lowAddress: 1, highAddress: 247, // Modbus over Serial Line V1.02, 2.2
		poll:    100 * time.Millisecond,
		timeout: 300 * time.Millisecond, registers: true,
		inputs:  slices.Concat(numbered("di", 64), numbered("do", 64)), // do: what the relay is told
		outputs: numbered("do", 64),
	},
	{
		name:  "osdp",
		about: text{"OSDP 读卡器", "OSDP card readers"},
		port:  true, baud: 9600, parity: "none", fixedParity: true,
		highAddress: 126, // IEC 60839-11-5, 5.6
		poll:        100 * time.Millisecond,
		timeout:     200 * time.Millisecond,
		settings: []setting{
			{name: "key_file", kind: settingFile, sample: `"/etc/longan/reader.key"`, about: text{"安全通道密钥文件，32 位十六进制", "file with the key of the secure channel, 32 hex digits"}},
			{name: "installation", kind: settingFlag, about: text{"安装期间用公开的默认密钥，市里会看到告警", "use the public default key while installing; the city is warned"}},
			{name: "plain", kind: settingFlag, about: text{"读卡器没有安全通道", "the reader has no secure channel"}},
			{name: "checksum", kind: settingFlag, about: text{"只会 8 位校验和的老读卡器", "an old reader that knows no CRC"}},
		},
		inputs:      slices.Concat([]string{"online", "tamper", "power"}, numbered("in", 8)),
		signalLabel: []string{"读卡器", "防拆", "电源"},
		kinds:       []Kind{KindInput, KindTamper, KindInput},
		outputs:     []string{"led", "buzzer"},
	},
	{
		name:  "escpos",
		about: text{"小票打印机（ESC/POS）", "receipt printers (ESC/POS)"},
		port:  true, baud: 9600, parity: "none",
		poll:        time.Second,
		inputs:      []string{"cover", "paper-near-end", "paper-out", "offline", "error"},
		signalLabel: []string{"上盖", "纸将尽", "缺纸", "脱机", "故障"},
		kind:        KindKiosk,
	},
	{
		name:  "scanner",
		about: text{"串口扫码枪：只计数和哈希，内容不离开板子", "serial code readers: a count and a keyed hash, never the code"},
		port:  true, baud: 9600, parity: "none",
		inputs: []string{"scanner"}, signalLabel: []string{"扫码枪"}, kind: KindInput,
	},
	{
		name:  "idreader",
		about: text{"身份证阅读模块：是否正常，从不读证", "identity card modules: whether they are well; no card is read"},
		port:  true, baud: 115200, parity: "none",
		poll: time.Second,
		settings: []setting{
			{name: "count_cards", kind: settingFlag, about: text{"数放了几次证件", "count how often a card is laid on it"}},
		},
		inputs: []string{"module"}, signalLabel: []string{"阅读模块"}, kind: KindInput,
	},
	{
		name:  "ups",
		about: text{"不间断电源（Megatec/Qx）", "power supplies (Megatec/Qx)"},
		port:  true, baud: 2400, parity: "none",
		poll:        2 * time.Second,
		inputs:      []string{"mains", "battery-low", "fault", "bypass", "load", "battery-voltage", "temperature", "input-voltage"},
		signalLabel: []string{"市电", "电池低", "故障", "旁路", "负载", "电池电压", "温度", "输入电压"},
		kinds:       []Kind{KindMains, KindInput, KindInput, KindInput, KindInput, KindInput, KindInput, KindInput},
	},
}
