package firmwareconfig

import "time"

// boardDrivers are those of the board's own lines.
var boardDrivers = [...]driverSpec{
	{
		name:  "contact",
		about: text{"干接点：门磁、紧急按钮、红外、烟感", "dry contacts: door contacts, panic buttons, detectors"},
		poll:  250 * time.Millisecond, // the longest wait when an edge was lost
		lines: true,
	},
	{
		name:   "relay",
		about:  text{"继电器：警号、爆闪灯、电锁", "relays: sirens, strobes, locks"},
		relays: true,
	},
	{
		name:  "wiegand",
		about: text{"韦根读卡器，26 和 34 位", "Wiegand card readers, 26 and 34 bits"},
		poll:  time.Second,
		settings: []setting{
			{name: "d0", kind: settingLine, required: true, sample: `"DI7"`, about: text{"D0 接的端子", "terminal of D0"}},
			{name: "d1", kind: settingLine, required: true, sample: `"DI8"`, about: text{"D1 接的端子", "terminal of D1"}},
			{name: "pull", kind: settingChoice, text: "up", options: []string{"up", "down", "none"}, about: text{"上下拉", "bias of both"}},
			{name: "keypad", kind: settingFlag, about: text{"带键盘", "it has keys"}},
		},
		inputs: []string{"reader"}, signalLabel: []string{"读卡器"}, kind: KindInput,
	},
}
