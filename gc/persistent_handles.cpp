// SPDX-License-Identifier: MIT
//
// Purpose     The cells of persistent_handles.h, and pins.
#include "gc/persistent_handles.h"

#include "heap/os_memory.h"

#include <cstdlib>

namespace echo {

namespace {

constexpr const char* kMisuse =
    "the handle was destroyed before, or is none of this heap's persistent handles";

std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

} // namespace

// Holds the lock, but not while cells are frozen.
class ECHO_THREAD_ATTRIBUTE(scoped_lockable) PersistentHandles::Changing {
public:
  explicit Changing(PersistentHandles& handles) ECHO_THREAD_ATTRIBUTE(acquire_capability(handles.mutex_))
      : handles_(handles) {
    handles_.lock_unless_frozen();
  }
  ~Changing() ECHO_THREAD_ATTRIBUTE(release_capability()) { handles_.mutex_.unlock(); }
  Changing(const Changing&) = delete;
  Changing& operator=(const Changing&) = delete;

private:
  PersistentHandles& handles_;
};

PersistentHandles::PersistentHandles()
    : salt_(mix(reinterpret_cast<std::uintptr_t>(this) ^ mix(os::monotonic_ns()))) {}

PersistentHandles::~PersistentHandles() {
  for (const auto& block : blocks_) {
    std::free(block.load(std::memory_order_relaxed));
  }
}

void PersistentHandles::lock_unless_frozen() {
  mutex_.lock();
  freeze_.wait(mutex_);
}

std::uint32_t PersistentHandles::first_serial(std::uint32_t index) const {
  return static_cast<std::uint32_t>(mix(salt_ + index));
}

std::uint32_t PersistentHandles::index_of(echo_persistent handle) const {
  const auto bits = reinterpret_cast<std::uint64_t>(handle);
  const auto number = static_cast<std::uint32_t>(bits);
  if (number == 0 || number > top_.load(std::memory_order_acquire)) {
    return kNone;
  }
  const Cell& cell = cell_at(number - 1);
  return __atomic_load_n(&cell.serial, __ATOMIC_ACQUIRE) == bits >> 32 &&
                 !is_free_word(__atomic_load_n(&cell.object, __ATOMIC_RELAXED))
             ? number - 1
             : kNone;
}

bool PersistentHandles::get(echo_persistent handle, ObjectRef* out) const {
  const std::uint32_t index = index_of(handle);
  if (index == kNone) {
    return false;
  }
  const Cell& cell = cell_at(index);
  out->address = __atomic_load_n(&cell.object, __ATOMIC_ACQUIRE);
  // Destroyed and perhaps used anew meanwhile: misuse, which must not answer with another handle's object.
  return __atomic_load_n(&cell.serial, __ATOMIC_RELAXED) == reinterpret_cast<std::uint64_t>(handle) >> 32 &&
         !is_free_word(out->address);
}

void PersistentHandles::leave_snapshot(std::uint32_t index) {
  Cell& cell = cell_at(index);
  if (index >= next_ && index < end_ && cell.mark != mark_) {
    if (cell.object != 0) {
      leaving_.push_back(cell.object);
    }
    cell.mark = mark_;
  }
}

echo_status PersistentHandles::make_locked(ObjectRef object, echo_persistent* out, std::string* why) {
  std::uint32_t index = free_;
  if (index != kNone) {
    Cell& cell = cell_at(index);
    free_ = static_cast<std::uint32_t>(cell.object >> 1) - 1;
    if (index >= next_ && index < end_) {
      cell.mark = mark_; // it was free when the mark started
    }
  } else {
    index = top_.load(std::memory_order_relaxed);
    if (index >= kMostCells) {
      *why = "there are " + std::to_string(kMostCells) + " persistent handles already";
      return ECHO_LIMIT_EXCEEDED;
    }
    const std::size_t block = block_of(index);
    if (blocks_[block].load(std::memory_order_relaxed) == nullptr) {
      auto* const cells = static_cast<Cell*>(std::calloc(std::size_t{kFirstBlock} << block, sizeof(Cell)));
      if (cells == nullptr) {
        *why = "no memory for more persistent handles";
        return ECHO_SYSTEM_MEMORY;
      }
      blocks_[block].store(cells, std::memory_order_release);
    }
    Cell& cell = cell_at(index);
    cell.serial = first_serial(index);
    top_.store(index + 1, std::memory_order_release);
  }
  Cell& cell = cell_at(index);
  __atomic_store_n(&cell.object, object.address, __ATOMIC_RELEASE);
  count_.fetch_add(1, std::memory_order_relaxed);
  *out = reinterpret_cast<echo_persistent>((std::uint64_t{cell.serial} << 32) | (std::uint64_t{index} + 1));
  return ECHO_OK;
}

echo_status PersistentHandles::make(ObjectRef object, echo_persistent* out, std::string* why) {
  const Changing lock(*this);
  return make_locked(object, out, why);
}

echo_status PersistentHandles::copy(echo_persistent from, echo_persistent* out, std::string* why) {
  const Changing lock(*this);
  const std::uint32_t index = index_of(from);
  if (index == kNone) {
    *why = kMisuse;
    return ECHO_HANDLE_MISUSE;
  }
  return make_locked({cell_at(index).object}, out, why);
}

echo_status PersistentHandles::set(echo_persistent handle, ObjectRef object, std::string* why) {
  const Changing lock(*this);
  const std::uint32_t index = index_of(handle);
  if (index == kNone) {
    *why = kMisuse;
    return ECHO_HANDLE_MISUSE;
  }
  leave_snapshot(index);
  __atomic_store_n(&cell_at(index).object, object.address, __ATOMIC_RELEASE);
  return ECHO_OK;
}

echo_status PersistentHandles::destroy(echo_persistent handle, std::string* why) {
  const Changing lock(*this);
  const std::uint32_t index = index_of(handle);
  if (index == kNone) {
    *why = kMisuse;
    return ECHO_HANDLE_MISUSE;
  }
  leave_snapshot(index);
  Cell& cell = cell_at(index);
  const std::uint32_t next_serial = cell.serial + 1;
  __atomic_store_n(&cell.serial, next_serial, __ATOMIC_RELEASE);
  if (next_serial != first_serial(index)) { // else they are used up
    __atomic_store_n(&cell.object, (Address{free_ + 1} << 1) | 1, __ATOMIC_RELEASE);
    free_ = index;
  } else {
    __atomic_store_n(&cell.object, Address{1}, __ATOMIC_RELEASE);
  }
  count_.fetch_sub(1, std::memory_order_relaxed);
  return ECHO_OK;
}

void PersistentHandles::begin_snapshot() {
  const MutexLock lock(mutex_);
  ++mark_;
  next_ = 0;
  end_ = top_.load(std::memory_order_relaxed);
  leaving_.clear();
}

void PersistentHandles::end_snapshot() {
  const MutexLock lock(mutex_);
  next_ = end_ = 0;
  leaving_.clear();
}

echo_status ObjectPins::pin(ObjectRef object, std::string* why) {
  const MutexLock lock(mutex_);
  Pin& pin = pins_[object.address];
  if (pin.count == 0) {
    if (const echo_status status = handles_.make(object, &pin.handle, why); status != ECHO_OK) {
      pins_.erase(object.address);
      return status;
    }
  }
  ++pin.count;
  return ECHO_OK;
}

echo_status ObjectPins::unpin(ObjectRef object, std::string* why) {
  const MutexLock lock(mutex_);
  const auto found = pins_.find(object.address);
  if (found == pins_.end()) {
    *why = "the object is not pinned";
    return ECHO_INVALID_ARGUMENT;
  }
  if (found->second.count == 1) {
    if (const echo_status status = handles_.destroy(found->second.handle, why); status != ECHO_OK) {
      return status;
    }
    pins_.erase(found);
    return ECHO_OK;
  }
  --found->second.count;
  return ECHO_OK;
}

} // namespace echo
