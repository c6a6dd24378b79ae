package firmwareconfig

import (
	"regexp"
	"strings"
	"time"

	"github.com/longan-edge/longan"
)

// networkDrivers are those of peripherals on the center's network.
var networkDrivers = [...]driverSpec{
	{
		name:  "dc09",
		about: text{"报警主机（SIA DC-09）", "alarm panels (SIA DC-09)"},
		settings: []setting{
			{name: "listen", kind: settingListen, required: true, sample: `":12000"`, about: text{"主机上报的地址，TCP 和 UDP", "where panels report to, TCP and UDP"}},
			{name: "keys_file", kind: settingFile, sample: `"/etc/longan/panels.keys"`, about: text{"加密主机的密钥，每行：账号 密钥", "keys of panels that encrypt, a line each: account key"}},
			{name: "silence", kind: settingTime, time: 5 * time.Minute, least: 20 * time.Second, most: 48 * time.Hour,
				about: text{"主机多久不报算失联，上报间隔的三倍", "how long a panel may be silent, three times its interval"}},
		},
		rule: &signalRule{ok: panelSignal, sample: "1234", hint: text{
			"写账号（主机自己），或账号/防区、账号/事件码：1234、1234/zone-15、1234/BA、1234/130-2",
			"An account (the panel itself), or account/zone, account/code: 1234, 1234/zone-15, 1234/BA, 1234/130-2"}},
	},
	{
		name:  "kioskpc",
		about: text{"自助终端、取号机的程序自己上报", "kiosks and queue machines that report by themselves"},
		settings: []setting{
			{name: "listen", kind: settingListen, required: true, sample: `":8085"`, about: text{"程序上报的地址", "where programs report to"}},
			{name: "token_file", kind: settingFile, required: true, sample: `"/etc/longan/kiosk.token"`, about: text{"口令文件，第一行，至少 16 个字符", "file with the token, its first line, 16 characters or more"}},
			{name: "silence", kind: settingTime, time: 2 * time.Minute, least: 10 * time.Second, most: 24 * time.Hour,
				about: text{"多久没有心跳算失联", "how long a program may be silent"}},
		},
		rule: &signalRule{ok: longan.ValidName, sample: "kiosk-1", hint: text{
			"写程序上报的 id：a-z、0-9、-，例如 kiosk-1", "The id that the program reports: a-z, 0-9 and -, like kiosk-1"}},
		kind: KindKiosk,
	},
	{
		name:  "video",
		about: text{"视频会议终端、摄像机是否在线", "is a video terminal or camera alive"},
		poll:  10 * time.Second,
		settings: []setting{
			{name: "address", kind: settingHost, required: true, sample: `"192.168.1.64"`, about: text{"主机或主机:端口，默认 554", "host, or host:port; 554 by default"}},
			{name: "connect_only", kind: settingFlag, about: text{"没有 RTSP，能连上就算在线", "it has no RTSP: a connection is enough"}},
		},
		inputs: []string{"alive"}, signalLabel: []string{"在线"}, kind: KindInput,
	},
}

var panelCode = regexp.MustCompile(`^(zone-[1-9][0-9]{0,3}|([A-Z]{2}|[0-9]{3})(-[1-9][0-9]{0,3})?)$`)
var panelAccount = regexp.MustCompile(`^[0-9A-Fa-f]{3,16}$`)

// panelSignal reports whether s is an account, or a zone or event of one.
func panelSignal(s string) bool {
	account, code, ok := strings.Cut(s, "/")
	return panelAccount.MatchString(account) && (!ok || panelCode.MatchString(code))
}
