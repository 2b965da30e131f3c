// The kubelet of the lab's real node. It is Kubernetes' own, told by the environment that the machine has more CPUs,
// memory and disk than it has, so that pods with the requests of a training node fit on it.
package main

import (
	"fmt"
	"os"
	"strconv"

	cadvisorapi "github.com/google/cadvisor/info/v1"
	cadvisorapiv2 "github.com/google/cadvisor/info/v2"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericapiserver "k8s.io/apiserver/pkg/server"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/cli"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	"k8s.io/component-base/version/verflag"
	"k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/kubelet/cadvisor"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubelet/kubeletconfig/configfiles"
	utilfs "k8s.io/kubernetes/pkg/util/filesystem"
)

func main() {
	flags := options.NewKubeletFlags()
	command := &cobra.Command{
		Use:          "kubelet",
		SilenceUsage: true,
		Args:         cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			verflag.PrintAndExitIfRequested()
			return run(flags)
		},
	}
	flags.AddFlags(command.Flags())
	verflag.AddFlags(command.Flags())
	os.Exit(cli.Run(command))
}

func run(flags *options.KubeletFlags) error {
	ctx := genericapiserver.SetupSignalContext()
	loader, err := configfiles.NewFsLoader(&utilfs.DefaultFs{}, flags.KubeletConfigFile)
	if err != nil {
		return err
	}
	config, err := loader.Load(ctx)
	if err != nil {
		return err
	}
	gates := utilfeature.DefaultMutableFeatureGate
	if err := gates.SetFromMap(config.FeatureGates); err != nil {
		return err
	}
	if err := logsapi.ValidateAndApplyAsField(&config.Logging, gates, field.NewPath("logging")); err != nil {
		return err
	}
	server := &options.KubeletServer{KubeletFlags: *flags, KubeletConfiguration: *config}
	dependencies, err := app.UnsecuredDependencies(ctx, server, gates)
	if err != nil {
		return err
	}
	dependencies.CAdvisorInterface, err = pretend(server)
	if err != nil {
		return err
	}
	return app.Run(ctx, server, dependencies, gates)
}

// pretended answers like cAdvisor, but for the sizes of the machine.
type pretended struct {
	cadvisor.Interface
	cpus         int
	memory, disk uint64
}

func pretend(server *options.KubeletServer) (cadvisor.Interface, error) {
	endpoint := server.ContainerRuntimeEndpoint
	roots := []string{cm.NodeAllocatableRoot(server.CgroupRoot, server.CgroupsPerQOS, server.CgroupDriver)}
	real, err := cadvisor.New(
		cadvisor.NewImageFsInfoProvider(endpoint),
		server.RootDirectory,
		roots,
		cadvisor.UsingLegacyCadvisorStats(endpoint),
		server.LocalStorageCapacityIsolation,
	)
	if err != nil {
		return nil, err
	}
	sizes := map[string]uint64{"SWE_RL_NODE_CPUS": 0, "SWE_RL_NODE_MEMORY": 0, "SWE_RL_NODE_DISK": 0}
	for name := range sizes {
		size, err := strconv.ParseUint(os.Getenv(name), 10, 63)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		sizes[name] = size
	}
	return &pretended{real, int(sizes["SWE_RL_NODE_CPUS"]), sizes["SWE_RL_NODE_MEMORY"], sizes["SWE_RL_NODE_DISK"]}, nil
}

func (p *pretended) MachineInfo() (*cadvisorapi.MachineInfo, error) {
	info, err := p.Interface.MachineInfo()
	if err != nil {
		return nil, err
	}
	copied := info.Clone()
	copied.NumCores = p.cpus
	copied.MemoryCapacity = p.memory
	return copied, nil
}

// RootFsInfo adds the difference to what is free as well: eviction goes by the share that is free.
func (p *pretended) RootFsInfo() (cadvisorapiv2.FsInfo, error) {
	info, err := p.Interface.RootFsInfo()
	if err == nil && info.Capacity < p.disk {
		info.Available += p.disk - info.Capacity
		info.Capacity = p.disk
	}
	return info, err
}
