# Each target is one command that works by hand as well.

.PHONY: help demo test lint bench cross

help: ## 列出目标 · list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

demo: ## 无硬件演示整个系统 · the whole system on this machine, without hardware
	go run ./sim/cmd/longan-sim demo

test: ## 全部检查与测试 · every check and test
	cross/test.sh

lint: ## 仅静态检查 · the static checks alone
	cross/test.sh lint

bench: ## 基准测试 · benchmarks
	go test -run '^$$' -bench . ./...
	go run ./sim/cmd/longan-sim crash -n 300 -seed 1 -json
	go run ./sim/cmd/longan-sim bench spool
	go run ./sim/cmd/longan-sim bench path

cross: ## 为所有目标平台构建到 dist/ · build for all targets into dist/
	cross/build.sh dist
