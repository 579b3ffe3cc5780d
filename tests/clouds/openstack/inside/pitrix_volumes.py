"""A volume driver of cinder that keeps no data, and so has all the room there is."""

from cinder import interface
from cinder.volume import driver


@interface.volumedriver
class MemoryDriver(driver.VolumeDriver):
    VERSION = "1"

    def check_for_setup_error(self):
        pass

    def _update_volume_stats(self):
        self._stats = {
            "volume_backend_name": "memory",
            "vendor_name": "pitrix",
            "driver_version": self.VERSION,
            "storage_protocol": "iscsi",
            "total_capacity_gb": "infinite",
            "free_capacity_gb": "infinite",
        }

    def _done(self, *_, **__):
        pass

    create_volume = delete_volume = create_cloned_volume = extend_volume = _done
    create_snapshot = delete_snapshot = create_volume_from_snapshot = _done
    ensure_export = create_export = remove_export = terminate_connection = _done

    def initialize_connection(self, volume, connector, **_):
        return {"driver_volume_type": "iscsi", "data": {"access_mode": "rw", "target_lun": 1}}
