package desk

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/longan-edge/longan"
	firmwareconfig "github.com/longan-edge/longan/firmware-config"
)

// export writes the events that wait to a file.
func (c *command) export(ctx context.Context, book Book, args []string) error {
	path := args[0]
	head := longan.ExportHead{Time: c.now().UTC()}
	st, err := book.Stat(ctx)
	if err != nil {
		return err
	}
	head.Version = st.Version
	if head.Device, err = c.whose(st); err != nil {
		return err
	}
	var out Exported
	err = WriteFile(path, c.force, func(w io.Writer) (err error) {
		out, err = Export(ctx, book, head, w)
		return err
	})
	if errors.Is(err, fs.ErrExist) {
		return c.wrong("%s 已经存在，没有覆盖。换个名字，或者加 -force。", "%s is there already and was not replaced. Take another name, or -force.", path)
	}
	if err != nil {
		return err
	}
	c.print("设备 %s 的 %d 条事件已写入 %s，%s。它们仍留在缓存里，直到市里确认。",
		"%[2]d event(s) of device %[1]s written to %[3]s, %[4]s. They stay in the spool until the city acknowledges them.",
		head.Device, out.Events, path, bytesText(out.Bytes))
	c.print("在市里：longan-cloud import -data 目录 %s", "in the city: longan-cloud import -data DIR %s", path)
	return nil
}

// whose returns the device whose spool it is. The file does not say.
func (c *command) whose(st *Stat) (longan.DeviceID, error) {
	if st.Running {
		if c.device != "" && c.device != string(st.Device) {
			return "", c.wrong("正在运行的是设备 %s，不是 %s", "the device that runs here is %s, not %s", st.Device, c.device)
		}
		return st.Device, nil
	}
	if c.device != "" {
		device, err := longan.ParseDeviceID(c.device)
		if err != nil {
			return "", c.wrong("设备编号不对：%v", "not a device: %v", err)
		}
		return device, nil
	}
	site, err := firmwareconfig.Load(c.site, c.lang)
	if err != nil {
		return "", c.wrong("longan-agent 没有运行，要从站点文件得知设备编号，而它读不了。用 -site 指定，或者用 -device 给出编号。\n%v",
			"longan-agent does not run, so the site file has to name the device, and it can't be read. -site names another, or give -device.\n%v", err)
	}
	return site.Device, nil
}
