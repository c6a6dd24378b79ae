package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/longan-edge/longan/cloud"
)

// options are the flags of run.
type options struct {
	data, mqtt, http, passwords, broker, county string
	mqtts, cert, key                            string
	demo                                        bool
	log                                         string
	level                                       slog.LevelVar
	given                                       map[string]bool
}

func parseOptions(args []string, stderr io.Writer) (*options, error) {
	o := &options{given: map[string]bool{}}
	flags := flag.NewFlagSet("longan-cloud run", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.data, "data", "longan-data", "数据目录 / folder of the store")
	flags.StringVar(&o.mqtt, "mqtt", ":1883", "设备接入地址，不加密；写了 -mqtts 时默认不开 / where boards connect without encryption; nowhere unless told, when there is -mqtts")
	flags.StringVar(&o.mqtts, "mqtts", "", "设备加密接入地址 / where boards connect with TLS, like :8883")
	flags.StringVar(&o.cert, "tls-cert", "", "证书文件（PEM）/ file of the certificate for -mqtts")
	flags.StringVar(&o.key, "tls-key", "", "证书的密钥文件（PEM）/ file of its key")
	flags.StringVar(&o.http, "http", ":8080", "网页地址，空为不开 / where the pages are; empty is nowhere")
	flags.StringVar(&o.passwords, "passwords", "", "设备口令文件 / password file of the boards, see longan-cloud passwd")
	flags.BoolVar(&o.demo, "insecure-demo", false, "无口令演示，默认只听本机 / let everybody in; listens on this machine only unless told otherwise")
	flags.StringVar(&o.broker, "broker", "", "使用外部 MQTT 服务 / use another broker: tcp://host:1883, tls://user:password@host:8883")
	flags.StringVar(&o.county, "county", "", "只接收这些县区，6 位编码，逗号分隔 / only these counties: 6-digit codes, separated by commas")
	flags.StringVar(&o.log, "log", "text", "日志格式 / log format: text, json")
	flags.TextVar(&o.level, "log-level", &o.level, "日志级别 / log level: debug, info, warn, error")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	flags.Visit(func(f *flag.Flag) { o.given[f.Name] = true })
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("多余的参数 / unexpected argument: %q", flags.Arg(0))
	}
	return o, o.check()
}

func (o *options) check() error {
	switch {
	case o.log != "text" && o.log != "json":
		return fmt.Errorf("-log %q：要 text 或 json / want text or json", o.log)
	case o.data == "":
		return errors.New("-data 是空的 / is empty")
	case o.mqtts != "" && (o.cert == "" || o.key == ""):
		return errors.New("-mqtts 要有 -tls-cert 和 -tls-key / needs -tls-cert and -tls-key; docs/operations.md tells how to make them:\n  longan-cloud run -mqtts :8883 -tls-cert city.pem -tls-key city.key -passwords passwords.txt")
	case o.mqtts == "" && (o.cert != "" || o.key != ""):
		return errors.New("-tls-cert 和 -tls-key 要与 -mqtts 同用 / -tls-cert and -tls-key go with -mqtts, like -mqtts :8883")
	case o.broker != "" && (o.given["mqtt"] || o.mqtts != "" || o.passwords != "" || o.demo):
		return errors.New("-broker 不能与 -mqtt、-mqtts、-passwords、-insecure-demo 同用 / -broker does not go with -mqtt, -mqtts, -passwords or -insecure-demo: they are of the embedded broker")
	case o.broker == "" && o.mqtt == "" && o.mqtts == "":
		return errors.New("-mqtt 是空的，也没有 -mqtts 或 -broker / -mqtt is empty, and there is neither -mqtts nor -broker: boards could not be heard")
	case o.demo && o.passwords != "":
		return errors.New("-insecure-demo 与 -passwords 只能选一个 / -insecure-demo and -passwords: choose one")
	case o.broker == "" && !o.demo && o.passwords == "":
		return errors.New(`没有设备口令文件，不启动。请先为每台设备设置口令，再加 -passwords；只想试一试，用 -insecure-demo。
no password file, so this does not start. Set a password for every board, then add -passwords; just to try it, use -insecure-demo:
  longan-cloud passwd passwords.txt 621202104-01
  longan-cloud run -passwords passwords.txt`)
	}
	if o.mqtts != "" && !o.given["mqtt"] {
		o.mqtt = ""
	}
	if o.demo {
		if o.mqtt != "" && !o.given["mqtt"] {
			o.mqtt = "127.0.0.1:1883"
		}
		if !o.given["http"] {
			o.http = "127.0.0.1:8080"
		}
	}
	return nil
}

// config opens the listeners. They are closed by cloud.Run, or by it when it
// returns an error.
func (o *options) config(log *slog.Logger) (cfg cloud.Config, err error) {
	cfg = cloud.Config{
		StorePath: filepath.Join(o.data, cloud.StoreName), PasswordFile: o.passwords, InsecureDemo: o.demo,
		TLSCert: o.cert, TLSKey: o.key, Broker: o.broker, Log: log,
	}
	defer func() {
		for _, l := range []net.Listener{cfg.MQTT, cfg.MQTTS, cfg.HTTP} {
			if err != nil && l != nil {
				l.Close()
			}
		}
	}()
	if o.county != "" {
		cfg.Counties = strings.Split(o.county, ",")
	}
	if err := os.MkdirAll(o.data, 0o750); err != nil {
		return cfg, fmt.Errorf("数据目录 / data folder: %w", err)
	}
	if o.broker == "" && o.mqtt != "" {
		if cfg.MQTT, err = net.Listen("tcp", o.mqtt); err != nil {
			return cfg, fmt.Errorf("-mqtt: %w", err)
		}
		log.Info("boards connect here", "mqtt", cfg.MQTT.Addr().String(), "insecure", o.demo)
	}
	if o.mqtts != "" {
		if cfg.MQTTS, err = net.Listen("tcp", o.mqtts); err != nil {
			return cfg, fmt.Errorf("-mqtts: %w", err)
		}
		log.Info("boards connect here with TLS", "mqtts", cfg.MQTTS.Addr().String(), "insecure", o.demo)
	}
	if o.http != "" {
		if cfg.HTTP, err = net.Listen("tcp", o.http); err != nil {
			return cfg, fmt.Errorf("-http: %w", err)
		}
		log.Info("pages are here", "http", cfg.HTTP.Addr().String())
	}
	return cfg, nil
}

func runCity(ctx context.Context, args []string, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitUsage
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	handlerOptions := &slog.HandlerOptions{Level: &o.level}
	var handler slog.Handler = slog.NewTextHandler(stderr, handlerOptions)
	if o.log == "json" {
		handler = slog.NewJSONHandler(stderr, handlerOptions)
	}
	log := slog.New(handler)
	cfg, err := o.config(log)
	if err != nil {
		fmt.Fprintln(stderr, "longan-cloud:", err)
		return exitFailed
	}
	city, err := cloud.New(cfg)
	if err != nil {
		fmt.Fprintln(stderr, "longan-cloud:", err)
		if errors.Is(err, cloud.ErrCertificate) {
			fmt.Fprintln(stderr, "证书或密钥不能用，做法见 docs/operations.md / the certificate or the key can't be used; docs/operations.md tells how to make them")
		}
		return exitUsage
	}
	if err := city.Run(ctx); err != nil {
		fmt.Fprintln(stderr, "longan-cloud:", err)
		return exitFailed
	}
	log.Info("city has ended")
	return 0
}
