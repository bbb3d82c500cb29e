// SPDX-License-Identifier: MIT
//
// Purpose     The list that mutexes of a heap enter while it is made.
#include "heap/mutex.h"

namespace echo {

namespace {
constinit thread_local MutexList* registering = nullptr;
}

MutexList::Registering::Registering(MutexList& list) : outer_(registering) {
  registering = &list;
}
MutexList::Registering::~Registering() {
  if (!ended_) {
    registering = outer_;
  }
}
void MutexList::Registering::end() {
  registering = outer_;
  ended_ = true;
}

void Mutex::enlist() {
  if (registering != nullptr) {
    registering->add(*this);
  }
}

} // namespace echo
