// A vCenter for tests: govmomi's simulator, with what it leaves out mended.
//
// The simulator's CloneVM_Task ignores powerOn, numCPUs and memoryMB of the clone's specification, and lets source
// and clone share their disks' descriptions; two machines in a folder may have the same name; pools of addresses do
// not tell their ids. The vSphere API says otherwise, and so does this program. What else it answers is the
// simulator's own.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net/url"
	"os"
	"os/signal"
	"reflect"
	"sync"
	"syscall"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// How long a new machine stays off, so that clients see it before it runs.
const bootDelay = 100 * time.Millisecond

// machine is a virtual machine that is cloned as the API describes. It holds the simulator's by value, as the
// simulator finds properties in values only.
type machine struct {
	simulator.VirtualMachine
}

// CloneVMTask clones, and then does what the simulator left out.
func (m *machine) CloneVMTask(ctx *simulator.Context, req *types.CloneVM_Task) soap.HasFault {
	devices := m.Config.Hardware.Device
	m.Config.Hardware.Device = copied(devices)
	answer := m.VirtualMachine.CloneVMTask(ctx, req)
	m.Config.Hardware.Device = devices

	task := simulator.Map.Get(taskOf(answer)).(*simulator.Task)
	made, ok := task.Info.Result.(types.ManagedObjectReference)
	if !ok {
		return answer
	}
	clone := &machine{*simulator.Map.Get(made).(*simulator.VirtualMachine)}
	simulator.Map.Put(clone)
	if wanted := req.Spec.Config; wanted != nil && !req.Spec.Template {
		clone.ReconfigVMTask(ctx, &types.ReconfigVM_Task{
			This: made,
			Spec: types.VirtualMachineConfigSpec{NumCPUs: wanted.NumCPUs, MemoryMB: wanted.MemoryMB},
		})
	}
	if req.Spec.PowerOn && !req.Spec.Template {
		time.AfterFunc(bootDelay, func() {
			simulator.Map.WithLock(clone, func() {
				if simulator.Map.Get(made) != nil {
					clone.PowerOnVMTask(ctx, &types.PowerOnVM_Task{This: made})
				}
			})
		})
	}
	return answer
}

// folder is a folder of machines, each with a name of its own.
type folder struct {
	simulator.Folder
}

// creating lets one machine be made at a time, so that names can be compared.
var creating sync.Mutex

// CreateVMTask makes a machine, also for CloneVMTask, unless its name is taken.
func (f *folder) CreateVMTask(ctx *simulator.Context, req *types.CreateVM_Task) soap.HasFault {
	creating.Lock()
	defer creating.Unlock()
	taken := simulator.Map.FindByName(req.Config.Name, f.ChildEntity)
	if taken == nil {
		return f.Folder.CreateVMTask(ctx, req)
	}
	refusal := simulator.CreateTask(f, "createVm", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return nil, &types.DuplicateName{Name: req.Config.Name, Object: taken.Reference()}
	})
	return &methods.CreateVM_TaskBody{Res: &types.CreateVM_TaskResponse{Returnval: refusal.Run()}}
}

// CreateFolder makes a folder of the same kind.
func (f *folder) CreateFolder(ctx *simulator.Context, req *types.CreateFolder) soap.HasFault {
	answer := f.Folder.CreateFolder(ctx, req)
	if made := answer.(*methods.CreateFolderBody).Res; made != nil {
		simulator.Map.Put(&folder{*simulator.Map.Get(made.Returnval).(*simulator.Folder)})
	}
	return answer
}

// index finds children in such folders as well; the simulator's knows its own types only.
type index struct {
	simulator.SearchIndex
}

// FindChild finds by name.
func (s *index) FindChild(req *types.FindChild) soap.HasFault {
	parent, ok := simulator.Map.Get(req.Entity).(*folder)
	if !ok {
		return s.SearchIndex.FindChild(req)
	}
	answer := &methods.FindChildBody{Res: new(types.FindChildResponse)}
	if found := simulator.Map.FindByName(req.Name, parent.ChildEntity); found != nil {
		child := found.Reference()
		answer.Res.Returnval = &child
	}
	return answer
}

// addressPools are vCenter's pools, which know their ids.
type addressPools struct {
	simulator.IpPoolManager
}

// CreateIpPool makes a pool, and notes its id in it, which the simulator forgets.
func (p *addressPools) CreateIpPool(req *types.CreateIpPool) soap.HasFault {
	answer := p.IpPoolManager.CreateIpPool(req)
	if made := answer.(*methods.CreateIpPoolBody).Res; made != nil {
		req.Pool.Id = made.Returnval
	}
	return answer
}

// taskOf is the task in an answer, whose type differs from method to method.
func taskOf(answer soap.HasFault) types.ManagedObjectReference {
	res := reflect.ValueOf(answer).Elem().FieldByName("Res")
	return res.Elem().FieldByName("Returnval").Interface().(types.ManagedObjectReference)
}

// copied describes the same devices anew, disks with their files.
func copied(devices []types.BaseVirtualDevice) []types.BaseVirtualDevice {
	var result []types.BaseVirtualDevice
	for _, device := range devices {
		other := reflect.New(reflect.TypeOf(device).Elem())
		other.Elem().Set(reflect.ValueOf(device).Elem())
		if disk, ok := other.Interface().(*types.VirtualDisk); ok {
			if backing, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
				file := *backing
				disk.Backing = &file
			}
		}
		result = append(result, other.Interface().(types.BaseVirtualDevice))
	}
	return result
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	user := flag.String("user", "", "the one user")
	password := flag.String("password", "", "and the password")
	cert := flag.String("cert", "", "file of the certificate")
	key := flag.String("key", "", "file of its key")
	flag.Parse()

	model := simulator.VPX()
	model.Datacenter = 2
	model.Host = 0
	model.Machine = 1
	model.Autostart = false
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	for _, entity := range simulator.Map.All("VirtualMachine") {
		vm := simulator.Map.Get(entity.Reference()).(*simulator.VirtualMachine)
		vm.MarkAsTemplate(&types.MarkAsTemplate{This: vm.Self})
		simulator.Map.Put(&machine{*vm})
	}
	for _, entity := range simulator.Map.All("Datacenter") {
		machines := simulator.Map.Get(entity.Reference()).(*simulator.Datacenter).VmFolder
		simulator.Map.Put(&folder{*simulator.Map.Get(machines).(*simulator.Folder)})
	}
	search := simulator.Map.Get(*model.ServiceContent.SearchIndex).(*simulator.SearchIndex)
	simulator.Map.Put(&index{*search})
	pools := simulator.Map.Get(*model.ServiceContent.IpPoolManager).(*simulator.IpPoolManager)
	simulator.Map.Put(&addressPools{*pools})
	pair, err := tls.LoadX509KeyPair(*cert, *key)
	if err != nil {
		log.Fatal(err)
	}
	model.Service.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	model.Service.Listen = &url.URL{Host: *listen, User: url.UserPassword(*user, *password)}
	server := model.Service.NewServer()
	fmt.Printf("vcsim: https://%s\n", server.URL.Host)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
	server.Close()
	model.Remove()
}
