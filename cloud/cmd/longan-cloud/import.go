package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/longan-edge/longan/cloud"
)

// importFiles takes exports of boards into the store. A city may run meanwhile.
func importFiles(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("longan-cloud import", flag.ContinueOnError)
	flags.SetOutput(stderr)
	data := flags.String("data", "longan-data", "数据目录 / folder of the store")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	if flags.NArg() == 0 {
		fmt.Fprintln(stderr, "要至少一个文件，由 longan-agent spool export 写成 / want at least one file that longan-agent spool export wrote: longan-cloud import -data longan-data board.export")
		return exitUsage
	}
	path := filepath.Join(*data, cloud.StoreName)
	st, err := cloud.OpenForImport(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(stderr, "%s 不存在：用 -data 指定市级中心的数据目录 / is not there: -data names the folder that longan-cloud run has\n", path)
		return exitUsage
	}
	if err != nil {
		fmt.Fprintln(stderr, "longan-cloud:", err)
		return exitFailed
	}
	status := 0
	for _, name := range flags.Args() {
		if !importFile(ctx, st, name, stdout, stderr) {
			status = exitFailed
		}
	}
	if err := st.Close(); err != nil {
		fmt.Fprintln(stderr, "longan-cloud:", err)
		return exitFailed
	}
	return status
}

// importFile takes one file into the store, tells what it brought, and returns
// whether all of it was taken.
func importFile(ctx context.Context, st *cloud.Store, name string, stdout, stderr io.Writer) bool {
	f, err := os.Open(name)
	if err != nil {
		fmt.Fprintln(stderr, "longan-cloud:", err)
		return false
	}
	defer f.Close()
	im, err := cloud.ImportExport(ctx, st, f, time.Now)
	whole := err == nil && im.Damaged == 0
	for _, d := range im.Devices {
		fmt.Fprintf(stdout, "%s: %s 新 %d 条，重复 %d 条 / %d new, %d already there\n", name, d.Device, d.New, d.Duplicates, d.New, d.Duplicates)
		if d.Conflicts > 0 {
			fmt.Fprintf(stderr, "%s: %s 有 %d 条没有存：序号相同的另一事件已在库中，设备是否被复制？ / %d not stored: another event has the number; is the board a clone?\n",
				name, d.Device, d.Conflicts, d.Conflicts)
		}
		whole = whole && d.Conflicts == 0
	}
	if im.Damaged > 0 {
		fmt.Fprintf(stderr, "%s: 有 %d 处损坏，完好的已导入；没有导入的： / %d part(s) are damaged, what is whole was imported; what was not:\n", name, im.Damaged, im.Damaged)
		for _, line := range im.Damage {
			fmt.Fprintf(stderr, "  %s\n", line)
		}
		if more := im.Damaged - len(im.Damage); more > 0 {
			fmt.Fprintf(stderr, "  …… %d\n", more)
		}
	} else if len(im.Devices) == 0 && err == nil {
		fmt.Fprintf(stdout, "%s: %s 没有等待上报的事件 / no event was waiting\n", name, im.Head.Device)
	}
	if err != nil {
		fmt.Fprintf(stderr, "longan-cloud: %s: %v\n", name, err)
	}
	return whole
}
